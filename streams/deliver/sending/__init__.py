"""One lane's loop: records in, calls planned and sent, what the answers mean, one transaction for both."""
