# The reference server on NVIDIA GPUs: CUDA comes with the wheels of torch, the driver from the node. It serves on CPUs as well.
#   docker build -f deploy/docker/server-cuda.Dockerfile -t aftershock-server-cuda:0.1.0 .
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/aftershock
ENV PATH=/opt/aftershock/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# What is needed first, and then ourselves: a change of ours fetches nothing again.
COPY pyproject.toml constraints.txt ./
COPY .ci/requirement_list.py .ci/requirement_list.py
RUN python .ci/requirement_list.py cuda >requirements.txt && pip install -c constraints.txt -r requirements.txt
COPY README.md LICENSE ./
COPY exporters exporters
COPY dashboards dashboards
COPY chaos chaos
COPY loadtests loadtests
COPY reference_server reference_server
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
COPY --from=build /opt/aftershock /opt/aftershock
ENV PATH=/opt/aftershock/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp DS_HOST=0.0.0.0
# Triton builds the launchers of its kernels with a C compiler, when they are first needed.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /tmp
# Asked for by the runtime of NVIDIA: which devices, and which libraries of the driver.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 65532:65532
EXPOSE 8000 8081
# An entry point and no command: pod-failure swaps the image, and a pod's own command would run in the one that pauses.
ENTRYPOINT ["python", "-m", "reference_server"]
