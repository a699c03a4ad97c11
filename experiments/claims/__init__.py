"""Statements made for optical prefill, audited one by one."""
