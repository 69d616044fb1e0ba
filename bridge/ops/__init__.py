"""For operators: log lines, metrics, pages, status, notifications of systemd. Never changes a link."""
