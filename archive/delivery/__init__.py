"""The channels by which a link leaves the house: mail, text message, paper; and the durable queue before them."""
