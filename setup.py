"""The package. Kept in setup.py so that Beam's --setup_file=./setup.py can stage it."""

from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent

setup(
    name="wirewatch",
    version="0.1.0",
    description="Finds the passages of the news about chosen topics and keeps them as Parquet",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[
        "configs",
        "models",
        "pipelines",
        "schemas",
        "seeds",
        "transforms",
        "transforms.sources",
    ],
    package_data={
        "configs": ["*.yaml"],
        "models": ["topics/*", "passages.jsonl"],
        "seeds": ["*", "articles/*"],
        "schemas": ["*.md"],
    },
    entry_points={"console_scripts": ["wirewatch = pipelines.cli:main"]},
    install_requires=[
        "apache-beam>=2.77,<2.78",
        "brotli>=1.2,<2",
        "charset-normalizer>=3.4,<4",
        "courlan>=1.4,<2",
        "duckdb>=1.4,<3",
        "fastwarc>=2.0,<3",
        "feedparser>=6.0.12,<7",
        "h2>=4.2,<5",
        "htmldate>=1.9,<2",
        "httpcore2>=2.16,<3",
        "httpx2>=2.16,<3",
        "listparser>=0.20,<1",
        "lxml>=5.3,<7",
        "lxml_html_clean>=0.4,<1",
        "numpy>=2,<3",
        "onnxruntime>=1.23,<2",
        "protego>=0.6,<1",
        "py3langid>=0.4,<1",
        "pyarrow>=18,<26",
        "pydantic>=2.11,<3",
        "python-dateutil>=2.9,<3",
        "python-frontmatter>=1.1,<2",
        "PyYAML>=6,<7",
        "rich>=14,<16",
        "sentencex>=1.0.20,<2",
        "tokenizers>=0.22,<1",
        "trafilatura>=2.1,<3",
        "transformers>=5,<6",
    ],
    extras_require={
        "dev": [
            "hypothesis>=6,<7",
            "mypy>=1.18,<3",
            "pandas>=2.3,<4",
            "polars>=1.30,<3",
            "pytest>=8,<10",
            "pytest-httpserver>=1.1,<2",
            "ruff>=0.14,<1",
            "setuptools>=77",
            "types-python-dateutil",
            "types-PyYAML",
        ],
        "hf": ["torch>=2.6,<3"],
        "train": ["onnx>=1.18,<2", "scikit-learn>=1.6,<2"],
    },
)
