"""A class: finding its submissions, grading all of them, keeping their reports."""
