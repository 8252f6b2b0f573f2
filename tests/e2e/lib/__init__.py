"""What the end-to-end tests share: the proxy under test, scripted peers, the store's files, checks."""
