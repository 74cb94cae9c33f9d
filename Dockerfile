# earshot in a container: target `cpu` (default) or `cuda`.
#
#   docker build --target cpu -t earshot .
#   docker run --rm -p 8080:8080 earshot
#   docker run --rm --gpus all -p 8080:8080 earshot:cuda          (built with --target cuda)
#
# Real-time audio priority needs `--cap-add SYS_NICE`; a webcam needs `--device /dev/video0`; WebRTC media from
# outside the host needs `--network host` or a TURN server.

FROM debian:12-slim AS base
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv libmysofa1 \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home earshot
WORKDIR /app
RUN python3 -m venv /app/.venv
COPY requirements.txt pyproject.toml README.md LICENSE earshot.py ./
COPY engines engines
COPY stream stream
COPY export export
COPY bench bench
RUN /app/.venv/bin/pip install --no-cache-dir -c requirements.txt . \
 && mkdir -p /home/earshot/.cache && chown -R earshot /home/earshot/.cache
ENV PATH=/app/.venv/bin:$PATH NUMBA_CACHE_DIR=/home/earshot/.cache/numba
USER earshot
EXPOSE 8080
ENTRYPOINT ["earshot"]
CMD ["serve", "--host", "0.0.0.0"]

FROM base AS cuda
USER root
RUN /app/.venv/bin/pip install --no-cache-dir -c requirements.txt '.[gpu]'
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
USER earshot

FROM base AS cpu
