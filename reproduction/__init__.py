"""What is ours beside what is the paper's: experiments, tables, figures."""
