"""Listening tests: ratings in, who is screened out, what the systems differ by, and how many listeners that takes."""
