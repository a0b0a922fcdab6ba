"""The application of the sample: a page, and a signature that its build made."""

VERSION = "1.2.3"
