# The reference server on CPUs. torch's CPU build comes from an index that you name, and the build ends where CUDA's came instead:
#   docker build -f deploy/docker/server.Dockerfile --build-arg PIP_EXTRA_INDEX_URL=<an index of CPU wheels> -t aftershock-server:0.1.0 .
FROM python:3.11.14-slim-bookworm AS build
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src
RUN python -m venv /opt/aftershock
ENV PATH=/opt/aftershock/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# What is needed first, and then ourselves: a change of ours fetches nothing again.
COPY pyproject.toml constraints.txt ./
COPY .ci/requirement_list.py .ci/requirement_list.py
RUN python .ci/requirement_list.py server >requirements.txt && pip install -c constraints.txt -r requirements.txt \
    && python -c "import torch; assert torch.version.cuda is None, 'this torch has CUDA: see PIP_EXTRA_INDEX_URL above'"
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
WORKDIR /tmp
USER 65532:65532
EXPOSE 8000 8081
# An entry point and no command: pod-failure swaps the image, and a pod's own command would run in the one that pauses.
ENTRYPOINT ["python", "-m", "reference_server"]
