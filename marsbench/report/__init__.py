"""A report of runs: PDF, HTML or Markdown. It computes nothing.

build      from folders to a file
material   the runs, compared once by `marsbench.judge.compare`
sections   which figures and tables, in which order; chapters: those with figures
first_page the verdict and what it rests on, on a page of its own; world: what was tried
summary    what to take, by how much, of what; standing: who leads where
paper      the MARS paper's numbers beside these runs', where the verdicts are wanted
figures    one file a figure: rows of a comparison in, axes out; fence: where axes end
tables     rows of a comparison as rows of text; spans: what brackets and bars are
document   what a report is made of, whatever it is printed as
pages      the document as PDF (typst), HTML and Markdown (templates/)
looks      the colour, marker and dash of each backend
canvas     sizes, fonts, lines and bytes of a figure; axes: how they count
commands   what to type to get the runs and the figures again
"""
