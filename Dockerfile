FROM python:3.12-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
COPY requirements.txt .
# Every pinned package has a wheel, so the slim image needs no compiler.
RUN /venv/bin/pip install --require-hashes --only-binary :all: -r requirements.txt


FROM python:3.12-slim

# /data belongs to the bot before it becomes a volume: a new volume takes over its owner.
RUN useradd --system --user-group --uid 10001 --home-dir /app --shell /usr/sbin/nologin bot \
    && install --directory --owner bot --group bot /data

WORKDIR /app
COPY --from=build /venv /venv
COPY LICENSE ./
COPY bot bot
COPY cogs cogs
COPY storage storage

ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    # matplotlib keeps its list of fonts here: the bot has no home to write to.
    MPLCONFIGDIR=/tmp/matplotlib \
    DATA_DIR=/data \
    HTTP_PORT=8080
USER bot
VOLUME /data

# Inside the container only, and past any HTTP_PROXY: /healthz listens on the loopback address. Not /readyz:
# what restarts unhealthy containers would mend neither a full disk nor Discord.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['HTTP_PORT'] + '/healthz', timeout=4)"]

STOPSIGNAL SIGTERM
CMD ["python", "-m", "bot", "run"]
