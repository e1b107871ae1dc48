"""What people do: each desk joins the rules, the database and the outbox."""
