/** A value that must never be shown, such as an API key or a connection string: as text it is only ever three stars. */
record Secret(String value) {

    @Override
    public String toString() {
        return "***";
    }
}
