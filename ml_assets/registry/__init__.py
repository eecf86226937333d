"""Model versions, promotion and its journal, and the pointer the service follows."""
