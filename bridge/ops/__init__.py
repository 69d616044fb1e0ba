"""What operators see: log lines, metrics, pages, status, what systemd hears. Changes nothing of a link."""
