"""Where training tasks come from: one file a data set, in its published format, behind one protocol."""
