"""The page of results: one HTML file with tables and interactive charts, which works offline."""
