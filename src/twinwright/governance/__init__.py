"""Who may do what: principals, policies and audit, as rules and protocols that know nothing of stores."""
