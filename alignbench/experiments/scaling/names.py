"""The names of the scores of scaling."""

AT_N = "value_at_n"
STANDS = "order_stands_from"
CAPTIONS = "averaged_captions"
