# The app for visitors, on a CPU. Build and run it:
#   docker build -t glassbox . && docker run -p 8501:8501 -v glassbox-runs:/runs glassbox
FROM python:3.12-slim

# A Hugging Face Space runs as user 1000, too.
RUN useradd --create-home --uid 1000 glassbox && install -d -o glassbox /runs

WORKDIR /app
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
RUN pip install --no-cache-dir "uv>=0.8,<1"

# What is installed changes less often than the pages, so it has a layer of its own. uv reads in pyproject.toml that
# torch comes from PyTorch's CPU index: 341 MB to download in all instead of 2.9 GB.
COPY pyproject.toml requirements.txt README.md LICENSE ./
COPY gptcore gptcore
COPY explainers explainers
RUN uv pip install --system --no-cache -r requirements.txt
COPY . .

ENV GLASSBOX_HOSTED=1 GLASSBOX_RUNS=/runs GLASSBOX_CACHE=/runs/.cache PYTHONUNBUFFERED=1
USER 1000
VOLUME /runs
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:8501/_stcore/health', timeout=4)"]
CMD ["streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true"]
