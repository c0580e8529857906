"""What the MARS paper reports, row by row, beside what was measured."""
