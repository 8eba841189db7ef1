"""The chapters: scripts that Streamlit runs from top to bottom."""
