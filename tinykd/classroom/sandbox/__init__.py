"""Where a stranger's code runs: bubblewrap, few privileges, kernels forked within milliseconds."""
