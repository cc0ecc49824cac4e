"""Does descent on it arrive?"""
