"""The paper this repository reproduces: DHAE, constraints graph, constrained k-means."""
