"""What is proved: verdicts on statements, and certificates that anybody can check again.

`certify` makes a certificate for a candidate, `verify` proves its statement again with formulas
of its own. This room does not know how a candidate was found.
"""

from shallows.certify.certificate import Certificate, EigenvalueEnclosure
from shallows.certify.prove import certify
from shallows.certify.verdict import Verdict
from shallows.certify.verify import Check, verify

__all__ = ["Certificate", "Check", "EigenvalueEnclosure", "Verdict", "certify", "verify"]
