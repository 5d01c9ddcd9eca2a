"""OpenID Connect: what an identity provider is asked, and what of its answers is believed.

The map of this package:

``failures``        how it goes wrong: the provider's fault, or no administrator
``settings``        what a workspace's provider may be
``fetching``        one HTTPS exchange as a value, its bounds, and the fake of it
``egress``          the real one, to the address that the egress rules have let pass
``discovery``       the provider's description of itself
``signing_keys``, ``id_token``  which keys and which ID tokens are believed
``administrators``  whom of the provider's users the workspace knows as an administrator
``authentication``  how the client proves itself for a code
``client``          the conversation: what is asked when, and how long it is remembered

All but ``egress`` and ``client`` is pure. Knows no store and no HTTP of ours; logs nothing.
"""
