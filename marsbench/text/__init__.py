"""Numbers and tables as text, once, whatever they are printed on.

numbers    each kind of number by one rule, and the sign for what was not measured
tables     a table as a value; as Markdown and CSV
console    standard output, on which no number is cut; a table for a screen
cautions   what not to conclude, on a screen
words      lists and sentences of names, lines that are short enough
options    options of a command as the words that one types
progress   bars on stderr; sparklines: a row of characters as a chart
"""
