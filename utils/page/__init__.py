"""The page of a run: who was where, where identities may be wrong, and how to put them right."""
