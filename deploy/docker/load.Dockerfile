# Locust with the open-loop load: master and workers, and the web UI. No torch.
#   docker build -f deploy/docker/load.Dockerfile -t aftershock-load:0.1.0 .
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/aftershock
ENV PATH=/opt/aftershock/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# What is needed first, and then ourselves: a change of ours fetches nothing again.
COPY pyproject.toml constraints.txt ./
COPY .ci/requirement_list.py .ci/requirement_list.py
RUN python .ci/requirement_list.py load >requirements.txt && pip install -c constraints.txt -r requirements.txt
COPY README.md LICENSE ./
COPY exporters exporters
COPY dashboards dashboards
COPY chaos chaos
COPY loadtests loadtests
COPY reference_server reference_server
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
COPY --from=build /opt/aftershock /opt/aftershock
COPY loadtests/locustfile.py /app/locustfile.py
ENV PATH=/opt/aftershock/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
WORKDIR /tmp
USER 65532:65532
EXPOSE 8089 5557
ENTRYPOINT ["locust", "-f", "/app/locustfile.py"]
