"""What the demo works on: a product file, and a batch type of one's own that furnishes the shop it goes into."""
