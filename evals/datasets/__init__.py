"""Published data sets, each in its official layout: what training and benchmarks both read. One file a data set."""
