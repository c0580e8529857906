"""The map: which backend is best in which world, from the folder of a sweep.

worlds    where a cell lies: pauses, tools' demand for cores, load, KV capacity, sizes
standing  who is best in a cell, and by how much the others are worse
tree      the shortest description of the borders: a small decision tree, found exhaustively
parts     what each part of MARS is worth, and how often it and its modes ran
ours      what berth reaches beside the best of all others
bounded   what no schedule can pass in a cell
pictures  heat maps
read      the folder of the sweep as cells of the map
words     the sentences of the page
document  the page and its rows as CSV
"""
