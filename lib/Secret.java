import java.util.regex.Pattern;

/** A value that must never be shown, such as an API key or a connection string: as text it is only ever three stars. */
record Secret(String value) {

    /** What is certain to be a Neon API key, wherever it stands. */
    static final Pattern API_KEY = Pattern.compile("napi_[A-Za-z0-9]{16,}");

    /**
     * Connection strings, percent-encoded ones too, and all that follows one, for who knows where it ends; a password before its host, or
     * after its name; and what Neon's passwords and API keys begin with, whatever stands before it.
     */
    private static final Pattern SECRET_SHAPED = Pattern.compile("(?is)postgres(ql)?(:|%3A).*|[^\\s:@]+:[^\\s@]+@\\S+|(npg|napi)_\\w+"
            + "|(password|passwd|pwd)[\"']?\\s*(=|:|%3D)\\s*(\"[^\"]*\"|'[^']*'|[^\\s&,;]+)");

    private static final int LONGEST_TEXT = 300;

    /** Keeps a text from elsewhere to one line of moderate length without anything that looks like a secret. */
    static String clean(String text) {
        String line = oneLine(SECRET_SHAPED.matcher(text).replaceAll("***")).replaceAll("\\s+", " ").strip();
        line = line.endsWith(".") ? line.substring(0, line.length() - 1) : line;
        return line.length() > LONGEST_TEXT ? line.substring(0, LONGEST_TEXT) + "..." : line;
    }

    /** Keeps a text from forging lines of a log, or from colouring them. */
    static String oneLine(String text) {
        return text.replaceAll("[\\p{Cc}\\p{Zl}\\p{Zp}]", " ");
    }

    @Override
    public String toString() {
        return "***";
    }
}
