"""Faults to plant into a bot, so that the harness proves that it would see them.

Each is Python for the bot's own process; the product on disk stays as it is.
"""

# What Discord's client is led to the stand-in by, runs first; these only change classes.
DOUBLE_SUBMIT = """
import bot.worker
from bot.models import Stage

_step = bot.worker.JobWorker._step

async def send_again(self, job, attempt):
    if job.stage is Stage.SUBMITTING:
        await self._store.submit_not_accepted(job.job_id, "", counts=False, now=self._clock())
        return True
    return await _step(self, job, attempt)

bot.worker.JobWorker._step = send_again
"""

DOUBLE_POST = """
import bot.delivery

_deliver = bot.delivery.Delivery.deliver

async def post_blindly(self, job, *, again=False):
    return await _deliver(self, job)

bot.delivery.Delivery.deliver = post_blindly
"""

LOST_JOB = """
from bot.models import Stage
import storage.jobs

_unfinished = storage.jobs.JobStore.unfinished

async def forget(self):
    return [job for job in await _unfinished(self) if job.stage is not Stage.DELIVERING]

storage.jobs.JobStore.unfinished = forget
"""
