# Heroku sources this before it starts the app: Application Default Credentials are read from a file.
if [ -n "$GOOGLE_CREDENTIALS" ]; then
  export GOOGLE_APPLICATION_CREDENTIALS="$HOME/.google-credentials.json"
  (umask 077 && printf '%s' "$GOOGLE_CREDENTIALS" > "$GOOGLE_APPLICATION_CREDENTIALS")
fi
