"""For authors: from a lesson's source to its notebooks, its checks and their proof."""
