# The worker in a small image that runs as nobody in particular.
#
#   docker build --tag maskwatch .                           classifies on the CPU
#   docker build --tag maskwatch --build-arg EXTRAS=cuda .   on an NVIDIA GPU (torch from PyPI
#                                                            brings CUDA; gigabytes more)
#   docker build --tag maskwatch --build-arg EXTRAS=demo .   with what `maskwatch demo` needs
FROM python:3.11-slim-bookworm AS build
ARG EXTRAS=""
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY worker worker
COPY training training
RUN python -m venv /opt/maskwatch \
    && /opt/maskwatch/bin/pip install --no-cache-dir --disable-pip-version-check ".${EXTRAS:+[$EXTRAS]}"

FROM python:3.11-slim-bookworm
# What OpenCV's wheel links to. Debian's security updates matter more here than a fixed version.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 libxcb1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin maskwatch \
    && install --directory --mode 0700 --owner 10001 --group 10001 /var/lib/maskwatch
COPY --from=build /opt/maskwatch /opt/maskwatch
# The thresholds keep glibc from giving each frame's buffer back to the kernel: converting a frame
# costs a quarter then. See docs/design/decisions/0006-freed-memory-is-kept.md.
# Events that wait for Redis lie in the state directory: mount a volume there.
ENV PATH=/opt/maskwatch/bin:$PATH \
    STATE_DIRECTORY=/var/lib/maskwatch \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_MMAP_THRESHOLD_=268435456 \
    MALLOC_TRIM_THRESHOLD_=1073741824
USER 10001:10001
EXPOSE 9464
# The one port of the worker; with another http.port, or without HTTP, replace this check.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9464/healthz', timeout=4)"]
ENTRYPOINT ["maskwatch"]
CMD ["run", "--config", "/etc/maskwatch/maskwatch.toml"]
