"""A paper-style report of runs: PDF, HTML or Markdown. It computes nothing.

material   the runs that were given, as the matrix that `marsbench.reproduce` makes of them
looks      the colour, marker and dash of each backend
canvas     sizes, fonts and bytes of a figure
figures    one file a figure: numbers in, axes out
tables     the same as rows of text
sections   which figures and tables, in which order, with what beside them
pages      the document as PDF (typst), HTML and Markdown
"""
