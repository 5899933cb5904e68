"""Every sentence the operator reads about gateways' balances and the ledger."""

from collections.abc import Sequence

from bot import text
from bot.messages import at
from bot.money import dollars
from bot.reckoning import Comparison, PaidJob, Reading

NO_GATEWAY = "No gateway has a key here, so there is no real money to reconcile."
NO_BALANCE = "it tells no balance; its website may."
FIRST_READING = "This is the first reading: the next one is compared with it."
CLOCK_WENT_BACK = "The clock went back since the last reading: the next one is compared with this."
_MOST_JOBS = 8


def no_answer(words: str) -> str:
    """Say that a gateway's balance could not be read."""
    return f"it did not tell its balance: {text.code(words)}. No reading was stored."


def balance(reading: Reading) -> str:
    """Say what is left at a gateway."""
    return f"{dollars(reading.balance_micros)} is left there now."


def possible_charges(this_month: int, last_month: int) -> str:
    """Say what the gateway may have taken beyond what members paid."""
    return (
        f"Possible charges that no member paid: {dollars(this_month)} for jobs of this month, "
        f"{dollars(last_month)} for those of the last."
    )


def gateway_lines(name: str, lines: Sequence[str]) -> str:
    """Put together what there is to say of one gateway."""
    first, *rest = lines
    return "\n".join([f"**{name}**: {first}", *rest])


def comparison(found: Comparison, *, threshold_micros: int) -> str:
    """Say how a balance moved beside the ledger; name the jobs where that leaves too much open."""
    since = f"Since {at(found.before.read_at)}"
    if abs(found.off_micros) > threshold_micros:
        return f"{since} it {_difference(found)}"
    booked = _booked(found)
    if not found.fall_micros and not found.jobs:
        return f"{since} it did not move, nor did the ledger."
    agree = (
        f"{dollars(abs(found.off_micros))} apart, within the threshold" if found.off_micros else "they agree"
    )
    return f"{since} it {_moved(found)}, and the ledger {booked}: {agree}."


def difference(gateway: str, found: Comparison) -> str:
    """Tell the operator that a balance does not agree with the ledger."""
    return f"**{gateway}**: since {at(found.before.read_at)} its balance {_difference(found)}"


def low_balance(gateway: str, reading: Reading) -> str:
    """Warn the operator that the money at a gateway runs out."""
    return (
        f"**{gateway}**: only {dollars(reading.balance_micros)} is left there. Without money it refuses "
        "orders: top it up. You are told again once it rose and fell anew."
    )


def _difference(found: Comparison) -> str:
    booked = _booked(found)
    if found.off_micros > 0:
        told = f"{_moved(found)}, but the ledger {booked}: **{dollars(found.off_micros)} is not explained.**"
    elif found.fall_micros < 0:
        topped_up = dollars(found.booked_micros - found.fall_micros)
        told = f"{_moved(found)}, and the ledger {booked}: topped up by about {topped_up}?"
    else:
        told = (
            f"{_moved(found)}, but the ledger {booked}: **{dollars(-found.off_micros)} more is booked than "
            "was taken.** A top-up, or jobs that were not charged?"
        )
    return f"{told}\n{_jobs(found.jobs)}"


def _moved(found: Comparison) -> str:
    if not found.fall_micros:
        return "did not move"
    verb = "fell" if found.fall_micros > 0 else "rose"
    return f"{verb} by {dollars(abs(found.fall_micros))}"


def _booked(found: Comparison) -> str:
    """Say what the ledger booked, and how far off that may be for what may have been taken."""
    told = f"booked {dollars(found.booked_micros)}"
    if found.possible_micros:
        told += f" ({dollars(found.possible_micros)} of it possible charges)"
    if found.least_micros != found.most_micros:
        least, most = dollars(max(0, found.least_micros)), dollars(found.most_micros)
        those = "those and jobs under way" if found.is_any_under_way else "or without those"
        told += f", with {those if found.possible_micros else 'jobs under way'} {least} to {most}"
    return told


def _jobs(jobs: Sequence[PaidJob]) -> str:
    if not jobs:
        return "No job was at the gateway."
    named = ", ".join(
        f"`{job.job_id}` ({job.stage}, {dollars(job.quote_micros)})" for job in jobs[:_MOST_JOBS]
    )
    more = f" and {len(jobs) - _MOST_JOBS:,} more" if len(jobs) > _MOST_JOBS else ""
    return f"At the gateway meanwhile: {named}{more}."
