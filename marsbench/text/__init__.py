"""Numbers and tables as text, once, whatever they are printed on."""
