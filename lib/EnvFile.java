import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * An env file such as {@code .env}: sets entries and leaves every other byte as it was.
 *
 * <p>The file is replaced whole, by a move of a finished temporary file, so whoever reads it finds the old or the new one.
 */
final class EnvFile {

    /**
     * The beginning of an entry, in the widest grammar of the field's parsers: npm's dotenv also takes {@code export}, spaces around the
     * equals sign, and a colon.
     */
    private static final Pattern ENTRY_START = Pattern.compile("([ \\t]*(?:export[ \\t]+)?)([\\w.-]+)(?:[ \\t]*=|:(?=[ \\t]))");

    private static final Pattern COMMENT = Pattern.compile("[ \\t]+#[^\\r\\n]*");

    /** The end of a line also for those to whom a bare carriage return is one: what comes after it is another entry. */
    private static final Pattern LINE_END = Pattern.compile("\\r+\\n?|\\n|\\z");

    /** What bash would do after an assignment, on the same line: another assignment, or another command. */
    private static final Pattern MORE = Pattern.compile(
            "[ \\t](export[ \\t]+)?[A-Za-z_]\\w*=|(;|&&|\\|\\|)[ \\t]+\\S|(?<=[\"'`])(;|&&|\\|\\|)");

    /** What may stand between quotes of either kind and be read as itself by dotenv, dotenv-expand, node and bash alike. */
    private static final Pattern PLAIN_VALUE = Pattern.compile("[\\x21-\\x7e&&[^\"'$`\\\\]]*");

    /** UTF-8's byte order mark, decoded byte by byte. */
    private static final String BYTE_ORDER_MARK = "\u00ef\u00bb\u00bf";

    private static final String STRONGEST = ".env.production.local";

    /** What Next.js or Vite, which differ in the order, may prefer to a written file of the same folder. */
    private static final List<String> WINNERS = List.of(".env.local", ".env.production", STRONGEST);

    private static final String TEMPORARY_PREFIX = ".env.neon-ci-";
    private static final String LOCK = TEMPORARY_PREFIX + "lock.tmp";

    /** A file is written in a moment. */
    private static final Duration ABANDONED = Duration.ofSeconds(10);

    /** Connection strings are shorter than this, so room for such an entry is room for the real one. */
    private static final String PLACEHOLDER = "x".repeat(1024);

    private final Path path;

    EnvFile(Path path) {
        this.path = path;
    }

    /**
     * Finds out, before anything is created elsewhere, whether these keys can be written here.
     *
     * @param keys the keys that {@link #write} is going to set
     * @param byWriting whether to prove it with a temporary file next to the env file, which a full disk needs to be noticed
     * @throws Failure if the file cannot be read or written
     */
    void check(List<String> keys, boolean byWriting) {
        Map<String, String> placeholders = new LinkedHashMap<>();
        keys.forEach(key -> placeholders.put(key, PLACEHOLDER));
        try {
            Path file = followLinks();
            String merged = merge(read(file), placeholders);
            if (!Files.isDirectory(file.getParent())) {
                throw new FileSystemException(path.toString(), null, "its folder is not there");
            }
            if (!Files.isWritable(file.getParent())) {
                throw new FileSystemException(path.toString(), null, "no file can be made in its folder");
            }
            if (byWriting) {
                Files.delete(writeTemporary(file, merged));
            }
        } catch (IOException | Failure e) {
            throw failure(e);
        }
    }

    /**
     * Sets the entries in the file, which is made if it is not there. A file with the very same content is left alone.
     *
     * @param entries keys and their values, which may hold no character that a parser of env files treats as special
     * @throws Failure if the file cannot be read or written; it is then as it was
     */
    void write(Map<String, Secret> entries) {
        Map<String, String> values = new LinkedHashMap<>();
        entries.forEach((key, value) -> values.put(key, value.value()));
        try {
            Path file = followLinks();
            Path lock = lock(file.getParent());
            try {
                String content = read(file);
                String merged = merge(content, values);
                if (!merged.equals(content)) {
                    replace(file, merged);
                }
            } finally {
                Files.deleteIfExists(lock);
            }
        } catch (IOException | Failure e) {
            throw failure(e);
        }
    }

    /** Lets one run at a time write in a folder, so that none loses what another sets. A lock left by a run that was killed soon ends. */
    private static Path lock(Path folder) throws IOException {
        while (true) {
            try {
                return Files.createFile(folder.resolve(LOCK));
            } catch (FileAlreadyExistsException e) {
                deleteLeftOvers(folder);
                LockSupport.parkNanos(Duration.ofMillis(10).toNanos());
            }
        }
    }

    private static void replace(Path file, String merged) throws IOException {
        Path temporary = writeTemporary(file, merged);
        try {
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (FileSystemException e) {
            if (!Files.isWritable(file)) {
                throw e;
            }
            // A file that is mounted by itself, as into a container, takes a new content and no other file in its place.
            Files.write(file, bytes(merged));
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    /**
     * Refuses to write where it would not count: Next.js and Vite prefer the other env files of a folder to {@code .env}.
     *
     * @param files the env files that are to be written
     * @param keys the keys that they are going to set
     * @throws Failure if another file sets one of them and wins
     */
    static void requireWinners(List<String> files, List<String> keys) {
        List<Path> written = files.stream().map(file -> Path.of(file).toAbsolutePath().normalize()).toList();
        for (Path file : written) {
            boolean isRead = file.endsWith(".env") || WINNERS.stream().anyMatch(file::endsWith);
            for (String name : isRead && !written.contains(file.resolveSibling(STRONGEST)) ? WINNERS : List.<String>of()) {
                Path winner = file.resolveSibling(name);
                keys.stream().filter(key -> !written.contains(winner) && new EnvFile(winner).sets(key)).findFirst().ifPresent(key -> {
                    throw new Failure(winner.getFileName() + " sets " + key + ", and Next.js and Vite read it instead of "
                            + file.getFileName() + "; name it with --env-file too, or remove the entry.");
                });
            }
        }
    }

    private boolean sets(String key) {
        try {
            return parse(read(followLinks()), Set.of(key)).stream().anyMatch(Part::isSet);
        } catch (IOException e) {
            throw failure(e);
        }
    }

    /**
     * Returns the content with the entries set: each where its key first stood, or else at the end; further entries of the same key are
     * dropped. The values stand in quotes, because a bare {@code &} ends a command when bash sources the file. A line that is set ends
     * in a bare line feed, because bash takes a carriage return for a part of the value.
     *
     * @param content text in which one character stands for one byte
     * @throws Failure if there is no way to set them without a loss; its message names the line alone
     */
    static String merge(String content, Map<String, String> entries) {
        StringBuilder merged = new StringBuilder();
        Map<String, String> left = new LinkedHashMap<>(entries);
        String openQuotes = "";
        long line = 1;
        for (Part part : parse(content, entries.keySet())) {
            if (part.isSet() && part.goesOn()) {
                throw new Failure("line " + line + " goes on after the value of " + part.key() + "; put what follows on its own line");
            }
            line += part.text().chars().filter(c -> c == '\n').count();
            if (!part.isSet()) {
                merged.append(part.text());
                openQuotes += part.opensQuote() ? part.value().charAt(0) : "";
                continue;
            }
            separate(merged);
            if (left.containsKey(part.key())) {
                merged.append(part.start()).append(entry(part.key(), left.remove(part.key()), openQuotes)).append(part.comment())
                        .append('\n');
            }
        }
        if (!left.isEmpty()) {
            merged.append(merged.length() > 0 && merged.charAt(merged.length() - 1) != '\n' ? "\n" : "");
            separate(merged);
        }
        for (Map.Entry<String, String> entry : left.entrySet()) {
            merged.append(entry(entry.getKey(), entry.getValue(), openQuotes)).append('\n');
        }
        requireFound(merged.toString(), entries.keySet());
        return merged.toString();
    }

    /** What was replaced may have held the end of another value, which then goes on to the next quote of its kind. */
    private static void requireFound(String merged, Set<String> keys) {
        List<String> found = parse(merged, keys).stream().filter(Part::isSet).map(Part::key).toList();
        keys.stream().filter(key -> !found.contains(key)).findFirst().ifPresent(key -> {
            throw new Failure("a quote that is opened before " + key + " and not closed would take it in");
        });
    }

    /**
     * An entry, or another line.
     *
     * @param text all of it, the line's end included
     * @param start what stands before the key
     * @param key null where there is none
     * @param value as it is written, with its quotes
     * @param comment what stands behind the value, from the white space on
     * @param isSet whether its key is one of those that are to be set
     */
    private record Part(String text, String start, String key, String value, String comment, boolean isSet) {

        /** Tells whether the value opens a quote that it does not close. */
        boolean opensQuote() {
            return !value.isEmpty() && "\"'`".indexOf(value.charAt(0)) >= 0 && value.indexOf(value.charAt(0), 1) < 0;
        }

        /** Tells whether the line has more to say than its value. */
        boolean goesOn() {
            return MORE.matcher(value.replaceFirst("(?s)^([\"'`]).*?(?=\\1)", "")).find();
        }
    }

    private static List<Part> parse(String content, Set<String> keys) {
        List<Part> parts = new ArrayList<>();
        int position = content.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length() : 0;
        parts.add(new Part(content.substring(0, position), "", null, "", "", false));
        Matcher start = ENTRY_START.matcher(content);
        while (position < content.length()) {
            boolean isEntry = start.region(position, content.length()).lookingAt();
            boolean isSet = isEntry && keys.contains(start.group(2));
            int valueEnd = isEntry ? endOfValue(content, start.end()) : position;
            int end = isSet ? lineEnd(content, valueEnd).end() : afterLineFeed(content, valueEnd);
            Matcher comment = COMMENT.matcher(content).region(valueEnd, end);
            parts.add(new Part(content.substring(position, end), isEntry ? start.group(1) : "", isEntry ? start.group(2) : null,
                    isEntry ? content.substring(start.end(), valueEnd).strip() : "", comment.lookingAt() ? comment.group() : "", isSet));
            position = end;
        }
        return parts;
    }

    /** Keeps the next line apart from what would join it: a byte order mark, and for bash a line that ends in a backslash. */
    private static void separate(StringBuilder merged) {
        if (merged.toString().equals(BYTE_ORDER_MARK) || merged.toString().endsWith("\\\n")) {
            merged.append('\n');
        }
    }

    /** A value before that opens a quote and never closes it would end at ours, for node and others, and take the keys between with it. */
    private static String entry(String key, String value, String openQuotes) {
        if (!PLAIN_VALUE.matcher(value).matches()) {
            throw new IllegalArgumentException("the value of " + key + " would be misread in an env file");
        }
        String quote = !openQuotes.contains("\"") ? "\"" : "'";
        if (openQuotes.contains(quote)) {
            throw new Failure("values before " + key + " open quotes of both kinds and do not close them");
        }
        return key + "=" + quote + value + quote;
    }

    /** A quoted value may go on over several lines; quotes that do not close at the end of a line are part of a value of one line. */
    private static int endOfValue(String content, int equalsSignEnd) {
        int begin = equalsSignEnd;
        while (content.startsWith(" ", begin) || content.startsWith("\t", begin)) {
            begin++;
        }
        char quote = begin < content.length() ? content.charAt(begin) : '\n';
        if (quote == '"' || quote == '\'' || quote == '`') {
            int close = begin + 1;
            while (close < content.length() && content.charAt(close) != quote) {
                close += content.startsWith("\\" + quote, close) ? 2 : 1;
            }
            if (close < content.length()) {
                String rest = content.substring(close + 1, lineEnd(content, close + 1).start()).strip();
                if (rest.isEmpty() || rest.startsWith("#")) {
                    return close + 1;
                }
            }
        }
        int lineEnd = lineEnd(content, begin).start();
        Matcher comment = COMMENT.matcher(content).region(equalsSignEnd, lineEnd);
        return comment.find() ? comment.start() : lineEnd;
    }

    /** Finds the end of the line that this position is in. */
    private static Matcher lineEnd(String content, int position) {
        Matcher end = LINE_END.matcher(content);
        end.find(position);
        return end;
    }

    private static int afterLineFeed(String content, int position) {
        int lineFeed = content.indexOf('\n', position);
        return lineFeed < 0 ? content.length() : lineFeed + 1;
    }

    /** Writes through a symbolic link, to the file that it leads to, which need not be there yet. */
    private Path followLinks() throws IOException {
        Path file = path.toAbsolutePath();
        for (int links = 0; Files.isSymbolicLink(file); links++) {
            if (links == 40) {
                throw new FileSystemException(path.toString(), null, "its symbolic links go round in a circle");
            }
            file = file.resolveSibling(Files.readSymbolicLink(file));
        }
        return file;
    }

    private String read(Path file) throws IOException {
        if (!Files.exists(file)) {
            return "";
        }
        if (!Files.isRegularFile(file)) {
            throw new FileSystemException(path.toString(), null, "it is not a file");
        }
        String content = new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1);
        if (content.indexOf('\0') >= 0) {
            throw new FileSystemException(path.toString(), null, "it is not UTF-8 text");
        }
        return content;
    }

    private static byte[] bytes(String content) {
        return content.getBytes(StandardCharsets.ISO_8859_1);
    }

    /**
     * Leaves a finished file, on disk, next to the env file; the caller moves or deletes it. It has the env file's mode, or for a new one
     * what the umask leaves: who may read the app may read its env file, as server-side rendering on Lambda does as another user.
     */
    private static Path writeTemporary(Path file, String content) throws IOException {
        deleteLeftOvers(file.getParent());
        PosixFileAttributeView old = Files.getFileAttributeView(file, PosixFileAttributeView.class);
        PosixFileAttributes kept = old == null || !Files.exists(file) ? null : old.readAttributes();
        FileAttribute<?>[] mode = kept == null ? new FileAttribute<?>[0]
                : new FileAttribute<?>[] {PosixFilePermissions.asFileAttribute(kept.permissions())};
        Path temporary = file.resolveSibling(TEMPORARY_PREFIX + Long.toHexString(ThreadLocalRandom.current().nextLong()) + ".tmp");
        try {
            try (FileChannel channel =
                    FileChannel.open(temporary, Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE), mode)) {
                ByteBuffer bytes = ByteBuffer.wrap(bytes(content));
                while (bytes.hasRemaining()) {
                    channel.write(bytes);
                }
                channel.force(true);
            }
            if (kept != null) {
                keepOwner(kept, temporary);
                Files.setPosixFilePermissions(temporary, kept.permissions());
            }
            return temporary;
        } catch (IOException e) {
            Files.deleteIfExists(temporary);
            throw e;
        }
    }

    /** An env file that root rewrites for another user still has to be readable by that user. Nobody else may give a file away. */
    private static void keepOwner(PosixFileAttributes kept, Path temporary) {
        PosixFileAttributeView view = Files.getFileAttributeView(temporary, PosixFileAttributeView.class);
        try {
            view.setGroup(kept.group());
            view.setOwner(kept.owner());
        } catch (IOException e) {
            return; // As far as the system lets one.
        }
    }

    /** A run that was killed between writing and moving left its temporary file, and in it a password. */
    private static void deleteLeftOvers(Path folder) {
        Instant abandoned = Instant.now().minus(ABANDONED);
        try (DirectoryStream<Path> temporaries = Files.newDirectoryStream(folder, TEMPORARY_PREFIX + "*.tmp")) {
            for (Path temporary : temporaries) {
                if (Files.getLastModifiedTime(temporary).toInstant().isBefore(abandoned)) {
                    Files.deleteIfExists(temporary);
                }
            }
        } catch (IOException | DirectoryIteratorException e) {
            return; // A folder that may not be listed, or a file that another run has just finished with, is no reason not to write.
        }
    }

    private Failure failure(Exception e) {
        String reason = e instanceof FileSystemException failed && failed.getReason() != null ? failed.getReason()
                : e instanceof AccessDeniedException ? "permission denied"
                : e instanceof NoSuchFileException ? "no such file or folder"
                : String.valueOf(e.getMessage());
        return new Failure("Could not write " + path + ": " + reason + "; mend this, or name another file with --env-file.", e);
    }
}
