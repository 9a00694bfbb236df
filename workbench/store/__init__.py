"""What a person would miss: runs with their answers, conversations, prompts with versions. SQLite, one writer."""
