"""Tokens → the message they were made for, where we made them: nobody else can."""

from __future__ import annotations

from dataclasses import dataclass

from newsletter_bot.feedback.events.happened import Proof
from newsletter_bot.feedback.mails.model import Ties
from newsletter_bot.subscribers.tokens import TokenSigner, UnsubscribeClaim


@dataclass(frozen=True, slots=True)
class Tied:
    """Whose message it is, and how sure that is."""

    proof: Proof
    delivery_id: int | None = None
    letter_id: int | None = None
    claim: UnsubscribeClaim | None = None


UNTIED = Tied(Proof.NONE)
_FORGED = Tied(Proof.FORGED)


def of_token(signer: TokenSigner, token: str) -> Tied:
    """Tie what carries a return path's token, or none."""
    if not token:
        return UNTIED
    delivery = signer.read_bounce_token(token)
    if delivery is not None:
        return Tied(Proof.TOKEN, delivery_id=delivery)
    letter = signer.read_letter_token(token)
    return _FORGED if letter is None else Tied(Proof.TOKEN, letter_id=letter)


def of_ties(signer: TokenSigner, ties: Ties) -> Tied:
    """Tie a mail by the best that it shows: the first token that is ours."""
    shown = [*ties.bounce_tokens, *(one.rpartition("+")[2] for one in ties.envelope_ids)]
    found = [of_token(signer, one) for one in shown]
    for tied in found:
        if tied.proof is Proof.TOKEN:
            return tied
    for token in ties.unsubscribe_tokens:
        claim = signer.read_unsubscribe_token(token)
        if claim is not None:
            return Tied(Proof.TOKEN, claim=claim)
    # An envelope id that is none of ours is the relay's own, and proves nothing either way.
    return _FORGED if ties.bounce_tokens or ties.unsubscribe_tokens else UNTIED
