"""Connections, requests and answers, before anybody asks what they are about."""
