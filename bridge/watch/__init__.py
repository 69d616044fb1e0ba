"""The wallboard in a terminal: users, calls and events of bridges, read from a broker. Commands nothing."""
