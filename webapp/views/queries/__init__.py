"""What pages read from the database: small questions, a fixed number of statements each."""
