"""A stand-in for a gateway: nginx with its Lua module behaves towards plugins as Kong 3.9 does from outside.

It is not Kong. What it does was written down from Kong's documentation and from what a running Kong 3.9.3 was
seen to answer (Kong contract 1, 4.9, 5 and 8); what the contract does not tell may differ.
"""
