"""A run of a benchmark as one page of HTML: numbers, failures and cases, to be read, sent and printed.

The page needs no network and no script. Everything that a data set or a policy wrote is text in it, never markup.
"""
