"""Feature matrices: NFM and AGOP of convolutions, how they compare, and what they show."""
