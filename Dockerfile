# One image for every workload and every command of the guides: `serve`, `stream`,
# `control`, `console`, `rebuild` … are its arguments.
# docker build -t fraud-scoring .
# Without training, archive, rebuild and control plane it is half as large: --build-arg EXTRAS=

FROM python:3.11-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /app
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
ARG EXTRAS="--extra train --extra remote --extra control --extra console --extra postgres --extra traces"
# The locked dependencies first: they change less often than the code.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --no-install-project --extra serve $EXTRAS
COPY scoring ./scoring
RUN uv sync --frozen --no-dev --no-editable --extra serve $EXTRAS

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="fraud-scoring" \
      org.opencontainers.image.licenses="Apache-2.0"
# The chart runs it by number, without a root file system to write to.
RUN groupadd --gid 10001 scoring \
 && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin scoring \
 && install -d -o 10001 -g 10001 /var/lib/scoring
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    SCORING_GRPC_ADDRESS=0.0.0.0:50051 \
    SCORING_METRICS_HOST=0.0.0.0 \
    SCORING_MODEL_DIR=/model \
    SCORING_STATE_DIR=/var/lib/scoring
USER 10001:10001
WORKDIR /var/lib/scoring
EXPOSE 50051
STOPSIGNAL SIGTERM
ENTRYPOINT ["scoring"]
CMD ["serve"]
